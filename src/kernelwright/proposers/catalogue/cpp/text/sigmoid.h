// 1 ulp, 2 where x is negative; 0 below -87. What 1 + e^-x loses is put back: derivatives ask for 1 - sigmoid(x).
INLINE inline F sigmoid(F x) {
  const auto [s, p] = power_of_e(x > 87.0f ? splat(-87.0f) : x < -87.0f ? splat(87.0f) : -x);
  const auto [d, lost] = exact_sum(splat(1.0f), s + s * p);
  const F y = reciprocal(d);
  return x < -87.0f ? F{} : y + y * ((1.0f - d * y) - lost * y);
}
