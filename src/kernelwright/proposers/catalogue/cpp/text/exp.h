// x = k ln 2 + r with |r| <= ln 2 / 2 (ln 2 in two parts, so that k ln 2 is exact); adding 1.5 * 2^23 rounds to an integer,
// which `bits` ends in.
struct Reduced { F r, k; I bits; };
INLINE inline Reduced reduce_exp(F x) {
  const F shifted = x * 1.44269504f + 12582912.0f, k = shifted - 12582912.0f;
  return {x - k * 0.693359375f - k * -2.12194440e-4f, k, as_bits(shifted)};
}
// (e^r - 1 - r) / r^2, fitted to least maximum error. Polynomials are added up in pairs: what a vector has to wait for, not
// how much there is to do, decides how fast these functions are.
INLINE inline F exp_tail(F r) {
  const F z = r * r;
  return (0.5f + r * 0.166665167f) + z * ((0.0416662022f + r * 0.0083690891f) + z * 0.0013950828f);
}
INLINE inline F exp_of(F r) { return (1.0f + r) + r * r * exp_tail(r); }
INLINE inline F expm1_of(F r) { return r + r * r * exp_tail(r); }
// v 2^(k + MORE); without an instruction for it, 0 where the exponent is -127 and infinity where it is 128.
template <int MORE = 0> INLINE inline F scaled(F v, const Reduced& by) {
#if defined(__AVX512F__)
  if constexpr (MORE == 0) return (F)_mm512_scalef_ps((__m512)v, (__m512)by.k);
  else return (F)_mm512_scalef_ps((__m512)v, (__m512)(by.k + float(MORE)));
#else
  return v * as_float((by.bits - (0x4B400000 - 127 - MORE)) << 23);
#endif
}
// e^x as s + s p, for x in [-87.6, 88.3].
struct Power { F s, p; };
INLINE inline Power power_of_e(F x) {
  const Reduced by = reduce_exp(x);
  return {scaled(splat(1.0f), by), expm1_of(by.r)};
}
// 1 ulp for x in [LEAST, 88.3]; 0 below (without AVX-512 below -88) and infinity above. Intel's processors take 100 times
// as long for a vector with a result that underflows, such as e^x of what is masked with -infinity: AVX-512 leaves those
// lanes out.
template <int LEAST> INLINE inline F exp_from(F x) {
#if defined(__AVX512F__)
  const Reduced by = reduce_exp(x);
  const __mmask16 inside = _mm512_cmp_ps_mask((__m512)x, (__m512)splat(float(LEAST)), _CMP_NLT_UQ);  // or NaN
  return (F)_mm512_maskz_scalef_ps(inside, (__m512)exp_of(by.r), (__m512)by.k);
#else
  const Reduced by = reduce_exp(x < -88.0f ? splat(-88.0f) : x);
  return scaled(exp_of(by.r), by);
#endif
}
// For x <= 0, as after the maximum has been taken away: nothing is told from 0 below e^-87.
INLINE inline F exp_nonpos(F x) { return exp_from<-87>(x); }
INLINE inline F exp(F x) {  // 1 ulp everywhere
#if defined(__AVX512F__)
  return exp_from<-104>(x > 89.0f ? splat(89.0f) : x);
#else
  const F y = exp_nonpos(x > 89.0f ? splat(89.0f) : x);
  if (__builtin_expect(any((x < -87.3f) | (x > 88.3f)), false)) {
    const Reduced by = reduce_exp(x < -104.0f ? splat(-104.0f) : x > 89.0f ? splat(89.0f) : x);
    const I k = by.bits - 0x4B400000, half = k >> 1;  // in two steps, since 2^k itself may not be representable
    return exp_of(by.r) * as_float((half + 127) << 23) * as_float((k - half + 127) << 23);
  }
  return y;
#endif
}
// 1 / d to 1 ulp, for d in [1, 2^126]. Dividing a whole vector takes longer than all of e^x.
INLINE inline F reciprocal(F d) {
#if defined(__AVX512F__)
  const F y = (F)_mm512_rcp14_ps((__m512)d);
  return y + y * (1.0f - d * y);
#else
  return 1.0f / d;
#endif
}
// a + b and what rounding it loses, for |a| >= |b|; where |b| is larger, about what.
struct Rounded { F sum, lost; };
INLINE inline Rounded exact_sum(F a, F b) {
  const F sum = a + b;
  return {sum, b - (sum - a)};
}
