INLINE inline F tanh(F x) {  // 4 ulp: x p(x^2) / q(x^2), fitted to least maximum error; beyond 9 it is 1
  x = x > 9.0f ? splat(9.0f) : x;
  x = x < -9.0f ? splat(-9.0f) : x;
  const F z = x * x;
  const F p = 0.999999977f + z * (0.133744997f + z * (0.00348783949f + z * (2.04816254e-05f + z * 1.31780693e-08f)));
  const F q = 1.0f + z * (0.467078135f + z * (0.0258474985f + z * (0.000327296548f + z * 7.70428316e-07f)));
  const F y = x * p / q;
  return y > 1.0f ? splat(1.0f) : y < -1.0f ? splat(-1.0f) : y;
}
