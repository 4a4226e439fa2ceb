INLINE inline F erf(F x) {  // 3 ulp: x + x p(x^2) up to 0.95, 1 - e^(-|x| g(|x|)) beyond; both fitted to least maximum error
  const F z = x * x, wide = magnitude(x), size = wide > 4.0f ? splat(4.0f) : wide;
  const F small = x + x * (0.128379166f + z * (-0.37612626f + z * (0.112836003f + z * (-0.0268544443f + z * (0.00518953521f +
      z * (-0.000802083814f + z * 7.88910911e-05f))))));
  const F g = 1.12864101f + size * (0.635181487f + size * (0.106187679f + size * (-0.0237202458f + size * (0.00362294889f +
      size * (-0.000318067498f + size * 1.0763994e-05f)))));
  const auto [r, k] = reduce_exp(-size * g);
  const F large = 1.0f - (1.0f + r * (1.0f + r * exp_tail(r))) * power_of_two(k);
  return wide < 0.95f ? small : as_float(as_bits(large) | (as_bits(x) & INT32_MIN));
}
