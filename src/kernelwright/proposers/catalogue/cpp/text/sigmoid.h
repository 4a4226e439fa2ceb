INLINE inline F sigmoid(F x) {  // 3 ulp; 0 below -87
  const F y = reciprocal(1.0f + exp_nonpos(x < -87.0f ? splat(87.0f) : -x));
  return x < -87.0f ? F{} : y;
}
