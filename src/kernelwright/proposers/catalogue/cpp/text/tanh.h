// 1 ulp where |x| > 1, 2 below: (1 - e^(-2|x|)) / (1 + e^(-2|x|)) with e^y as s + s p, so that nothing cancels near 0, and
// what both sums and the quotient lose put back: derivatives ask for 1 - tanh(x)^2, of which that is all where |x| is large.
INLINE inline F tanh(F x) {
  const F wide = magnitude(x), size = wide > 10.0f ? splat(10.0f) : wide;
  const auto [s, p] = power_of_e(-2.0f * size);
  const auto [rest, s_lost] = exact_sum(splat(1.0f), -s);
  const auto [n, p_lost] = exact_sum(rest, -(s * p));
  const auto [d, d_lost] = exact_sum(splat(1.0f), s + s * p);
  const F y = reciprocal(d), q = n * y;
  return as_float(as_bits(q + y * ((n - q * d) + ((s_lost + p_lost) - q * d_lost))) | (as_bits(x) & INT32_MIN));
}
