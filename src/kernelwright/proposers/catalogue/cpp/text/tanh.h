// 3 ulp: (1 - e^(-2|x|)) / (1 + e^(-2|x|)) with e^y as s + s p, so that nothing cancels near 0.
INLINE inline F tanh(F x) {
  const F wide = magnitude(x), size = wide > 10.0f ? splat(10.0f) : wide;
  const auto [s, p] = power_of_e(-2.0f * size);
  return as_float(as_bits(((1.0f - s) - s * p) * reciprocal((1.0f + s) + s * p)) | (as_bits(x) & INT32_MIN));
}
