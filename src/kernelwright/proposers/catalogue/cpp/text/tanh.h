// 2 ulp, 1 where |x| > 1: (1 - e^(-2|x|)) / (1 + e^(-2|x|)) with e^y as s + s p, so that nothing cancels near 0, and what the
// divisor and the quotient lose put back: derivatives ask for 1 - tanh(x)^2.
INLINE inline F tanh(F x) {
  const F wide = magnitude(x), size = wide > 10.0f ? splat(10.0f) : wide;
  const auto [s, p] = power_of_e(-2.0f * size);
  const auto [d, lost] = exact_sum(splat(1.0f), s + s * p);
  const F n = (1.0f - s) - s * p, y = reciprocal(d), q = n * y;
  return as_float(as_bits(q + y * ((n - q * d) - q * lost)) | (as_bits(x) & INT32_MIN));
}
