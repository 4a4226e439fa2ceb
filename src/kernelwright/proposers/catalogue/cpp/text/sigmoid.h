INLINE inline F sigmoid(F x) { return 1.0f / (1.0f + exp(-x)); }  // 3 ulp
