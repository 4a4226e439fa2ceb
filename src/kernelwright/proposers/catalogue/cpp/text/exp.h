// x = k ln 2 + r with |r| <= ln 2 / 2 (ln 2 in two parts, so that k ln 2 is exact); adding 1.5 * 2^23 rounds to an integer.
struct Reduced { F r; I k; };
INLINE inline Reduced reduce_exp(F x) {
  const F shifted = x * 1.44269504f + 12582912.0f, k = shifted - 12582912.0f;
  return {x - k * 0.693359375f - k * -2.12194440e-4f, as_bits(shifted) - 0x4B400000};
}
// (e^r - 1 - r) / r^2, fitted to least maximum error. Polynomials are added up in pairs: what a vector has to wait for, not
// how much there is to do, decides how fast these functions are.
INLINE inline F exp_tail(F r) {
  const F z = r * r;
  return (0.5f + r * 0.166665167f) + z * ((0.0416662022f + r * 0.0083690891f) + z * 0.0013950828f);
}
INLINE inline F power_of_two(I k) { return as_float((k + 127) << 23); }  // 0 for k = -127, infinity for k = 128
// e^x as s + s p, for x in [-87.6, 88.3].
struct Power { F s, p; };
INLINE inline Power power_of_e(F x) {
  const auto [r, k] = reduce_exp(x);
  return {power_of_two(k), r + r * r * exp_tail(r)};
}
// 1 ulp for x in [-87.6, 88.3]; 0 below and infinity above.
INLINE inline F exp_inside(F x) {
  x = x > 89.0f ? splat(89.0f) : x;
  x = x < -88.0f ? splat(-88.0f) : x;
  const auto [r, k] = reduce_exp(x);
  return ((1.0f + r) + r * r * exp_tail(r)) * power_of_two(k);
}
INLINE inline F exp_nonpos(F x) {  // as above for x <= 0, as after the maximum has been taken away
  x = x < -88.0f ? splat(-88.0f) : x;
  const auto [r, k] = reduce_exp(x);
  return ((1.0f + r) + r * r * exp_tail(r)) * power_of_two(k);
}
INLINE inline F exp(F x) {  // 1 ulp everywhere
  const F y = exp_inside(x);
  if (__builtin_expect(!any((x < -87.3f) | (x > 88.3f)), true)) return y;
  const F near = x < -104.0f ? splat(-104.0f) : x > 89.0f ? splat(89.0f) : x;
  const auto [r, k] = reduce_exp(near);
  const I half = k >> 1;  // in two steps, since 2^k itself may not be representable
  return ((1.0f + r) + r * r * exp_tail(r)) * power_of_two(half) * power_of_two(k - half);
}
