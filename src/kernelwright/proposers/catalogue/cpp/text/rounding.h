// Adding and taking away 2^23 rounds to the nearest even integer; larger values are integers already.
INLINE inline F round(F x) {
  const F size = x < 0.0f ? -x : x, y = (size + 8388608.0f) - 8388608.0f;
  return size < 8388608.0f ? (x < 0.0f ? -y : y) : x;
}
INLINE inline F floor(F x) { const F y = round(x); return y > x ? y - 1.0f : y; }
INLINE inline F ceil(F x) { const F y = round(x); return y < x ? y + 1.0f : y; }
INLINE inline F trunc(F x) { return x < 0.0f ? ceil(x) : floor(x); }
