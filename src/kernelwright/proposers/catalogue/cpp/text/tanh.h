INLINE inline F tanh(F x) {  // 2 ulp: an odd polynomial near 0, 1 - 2 / (e^2|x| + 1) elsewhere
  const F z = x * x, wide = magnitude(x), size = wide > 10.0f ? splat(10.0f) : wide;
  const F small = x + x * z * (-0.333332837f + z * (0.133314908f + z * (-0.0537434854f + z * (0.0206505545f + z * -0.00571701163f))));
  const auto [r, k] = reduce_exp(2.0f * size);
  const F large = 1.0f - 2.0f / ((1.0f + r * (1.0f + r * exp_tail(r))) * power_of_two(k) + 1.0f);
  return wide < 0.625f ? small : as_float(as_bits(large) | (as_bits(x) & INT32_MIN));
}
