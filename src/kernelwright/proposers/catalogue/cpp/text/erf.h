// 3 ulp: 1 - e^(-|x| g(|x|)) with g fitted to least maximum error; e^y as s + s p, so that nothing cancels near 0.
INLINE inline F erf(F x) {
  const F wide = magnitude(x), size = wide > 4.0f ? splat(4.0f) : wide, z = size * size;
  const F low = (1.12837923f + size * 0.636616409f) + z * (0.102814898f + size * -0.019323064f);
  const F high = (0.000207541394f + size * 0.00125047273f) + z * (-0.000380563724f + size * 4.06499457e-05f);
  const auto [s, p] = power_of_e(-size * (low + z * z * high));
  return as_float(as_bits((1.0f - s) - s * p) | (as_bits(x) & INT32_MIN));
}
