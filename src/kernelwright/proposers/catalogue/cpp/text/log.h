// log(2^k (1 + f)) for 1 + f in [sqrt(1/2), sqrt(2)): (log(1 + f) - f + f^2 / 2) / f^3 fitted to least maximum error.
INLINE inline F log_of(F k, F f) {
  const F z = f * f, y = z * z;
  const F low = (0.333333105f + f * -0.249999866f) + z * (0.200022504f + f * -0.166693032f);
  const F high = (0.142181814f + f * -0.123830929f) + z * (0.11875502f + f * -0.117987759f);
  const F q = low + y * (high + y * 0.0692043006f);
  return k * 0.693359375f + (f + (z * (f * q - 0.5f) + k * -2.12194440e-4f));
}
INLINE inline I exponent(F x) { return (as_bits(x) - 0x3F3504F3) >> 23; }
INLINE inline F log(F x) {  // 1 ulp
  const I k = exponent(x);
  const F y = log_of(convert<float>(k), as_float(as_bits(x) - (k << 23)) - 1.0f);
  if (__builtin_expect(!any(~((x >= 1.17549435e-38f) & (x <= 3.40282347e38f))), true)) return y;
  const F up = x * 8388608.0f;  // what is below the normal range
  const I m = exponent(up);
  const F tiny = log_of(convert<float>(m) - 23.0f, as_float(as_bits(up) - (m << 23)) - 1.0f);
  const F low = x > 0.0f ? tiny : x == 0.0f ? splat(-std::numeric_limits<float>::infinity()) : splat(std::nanf(""));
  return x < 1.17549435e-38f ? low : x <= 3.40282347e38f ? y : x;
}
