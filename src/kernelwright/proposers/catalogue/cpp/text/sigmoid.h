INLINE inline F sigmoid(F x) { return 1.0f / (1.0f + exp_inside(-x)); }  // 3 ulp; 0 below -88
