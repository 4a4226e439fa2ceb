INLINE inline F expm1(F x) {  // 2 ulp: 2^k (e^r - 1) + (2^k - 1), half of it first, since 2^128 is not representable
  x = x > 89.0f ? splat(89.0f) : x;
  x = x < -18.0f ? splat(-18.0f) : x;
  const Reduced by = reduce_exp(x);
  const F half = scaled<-1>(splat(1.0f), by), small = expm1_of(by.r);
  const F y = (half * small + (half - 0.5f)) * 2.0f;
  return by.k == 0.0f ? small : y;
}
