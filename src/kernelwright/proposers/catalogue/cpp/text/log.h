// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
struct Decomposed { F f, k; };
INLINE inline Decomposed decompose(F x) {
  const I bits = as_bits(x) - 0x3F3504F3;
  return {as_float((bits & 0x007FFFFF) + 0x3F3504F3) - 1.0f, convert<float>(bits >> 23)};
}
INLINE inline F log(F x) {  // 1 ulp
  const M tiny = x < 1.17549435e-38f;
  const auto [f, k0] = decompose(tiny ? x * 8388608.0f : x);
  const F k = tiny ? k0 - 23.0f : k0, z = f * f;
  // (log(1 + f) - f + f^2 / 2) / f^3, fitted to least maximum error.
  const F q = 0.333333105f + f * (-0.249999866f + f * (0.200022504f + f * (-0.166693032f + f * (0.142181814f +
      f * (-0.123830929f + f * (0.11875502f + f * (-0.117987759f + f * 0.0692043006f)))))));
  F y = k * 0.693359375f + (f + (z * (f * q - 0.5f) + k * -2.12194440e-4f));
  y = x == std::numeric_limits<float>::infinity() ? x : y;
  y = x == 0.0f ? splat(-std::numeric_limits<float>::infinity()) : y;
  return (x < 0.0f) | (x != x) ? splat(std::numeric_limits<float>::quiet_NaN()) : y;
}
