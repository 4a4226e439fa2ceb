INLINE inline F log1p(F x) {  // 2 ulp: log(1 + x), corrected by what 1 + x rounds away
  const F u = 1.0f + x, lost = x - (u - 1.0f);
  const F y = log(u) + lost / u;
  return (lost == 0.0f) | (x != x) ? (u == 1.0f ? x : log(u)) : (u == std::numeric_limits<float>::infinity() ? u : y);
}
