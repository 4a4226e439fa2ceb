// 1 + erf(x), off by 2e-7 in all: 2^(|x| g(|x|)) where x is negative, with g fitted to least maximum error of that.
INLINE inline F erf_and_1(F x) {
  const F size = magnitude(x), z = size * size;
  const F low = (-1.62791371f + size * -0.918328643f) + z * (-0.14896366f + size * 0.0294524971f);
  const F high = (-0.00230222498f + size * -0.000461577234f) + z * 0.00010022155f;
  const F power = size * (low + z * z * high), shifted = power + 12582912.0f, k = shifted - 12582912.0f;
  const F r = power - k, y = r * r;
  const F some = (0.240226462f + r * 0.0555032864f) + y * ((0.00961848907f + r * 0.00133999309f) + y * 0.000153458124f);
  const F tail = size > 6.4f ? F{} : scaled((1.0f + r * 0.693147182f) + y * some, {r, k, as_bits(shifted)});
  return x < 0.0f ? tail : 2.0f - tail;
}
