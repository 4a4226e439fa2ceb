INLINE inline F tanh(F x) {  // 2 ulp: an odd polynomial near 0, 1 - 2 / (e^2|x| + 1) elsewhere
  const F z = x * x, size = x < 0.0f ? -x : x;
  const F small = x + x * z * (-0.333332837f + z * (0.133314908f + z * (-0.0537434854f + z * (0.0206505545f + z * -0.00571701163f))));
  const F large = 1.0f - 2.0f / (exp(2.0f * size) + 1.0f);
  return size < 0.625f ? small : (x < 0.0f ? -large : large);
}
