INLINE inline F log1p(F x) {  // 2 ulp: log(1 + x) with what 1 + x rounds away put back
  const F u = 1.0f + x, lost = x - (u - 1.0f);
  const I k = exponent(u);
  const F f = (as_float(as_bits(u) - (k << 23)) - 1.0f) + lost * as_float((127 - k) << 23);
  const F y = log_of(convert<float>(k), f);
  if (__builtin_expect(!any(~((x > -1.0f) & (x < 1e38f))), true)) return y;
  const F low = x == -1.0f ? splat(-std::numeric_limits<float>::infinity()) : splat(std::nanf(""));
  return x <= -1.0f ? low : x < 1e38f ? y : log(x);
}
