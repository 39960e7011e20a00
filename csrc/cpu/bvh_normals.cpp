#include "cpu/bvh_normals.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/parallel.h"
#include "maths/random.h"
#include "maths/triangle.h"

namespace fields {
namespace {

constexpr int64_t kChunk = 4096;

template <class Body>
void for_each(int64_t count, const Body& body) {
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    for (int64_t i = task * kChunk; i < std::min(count, (task + 1) * kChunk); ++i) body(i);
  });
}

// For each vertex the first one at its place: a hash table with open addresses.
std::vector<int32_t> weld(const float* vertices, int64_t count) {
  size_t size = 16;
  while (size < 2 * static_cast<size_t>(count)) size *= 2;
  std::vector<int32_t> slots(size, -1), welded(count);
  for (int64_t i = 0; i < count; ++i) {
    float place[3];
    uint32_t bits[3];
    for (int d = 0; d < 3; ++d) place[d] = vertices[3 * i + d] + 0.0f;  // -0 is 0
    std::memcpy(bits, place, sizeof(bits));
    size_t slot = mix(mix(mix(bits[0]) + bits[1]) + bits[2]) & (size - 1);
    for (;; slot = (slot + 1) & (size - 1)) {
      const int32_t other = slots[slot];
      if (other < 0) {
        slots[slot] = welded[i] = static_cast<int32_t>(i);
        break;
      }
      const float* p = vertices + 3 * int64_t(other);
      if (p[0] == place[0] && p[1] == place[1] && p[2] == place[2]) {
        welded[i] = other;
        break;
      }
    }
  }
  return welded;
}

struct FaceShape {
  float normal[3];
  float angles[3];  // at the corners, in radians
};

FaceShape shape_of(const float* const corners[3]) {
  double side[3][3], length2[3], normal[3];
  for (int i = 0; i < 3; ++i) {
    for (int d = 0; d < 3; ++d) side[i][d] = double(corners[(i + 1) % 3][d]) - corners[i][d];
    length2[i] = dot3(side[i], side[i]);
  }
  cross3(side[0], side[1], normal);
  const double length = std::sqrt(dot3(normal, normal));
  FaceShape shape = {};
  // Less than rounding leaves of nothing: such a face has a say nowhere.
  if (!(length > 1e-14 * std::sqrt(length2[0] * length2[1]))) return shape;
  for (int i = 0; i < 3; ++i) {
    shape.normal[i] = static_cast<float>(normal[i] / length);
    shape.angles[i] = static_cast<float>(std::atan2(length, -dot3(side[i], side[(i + 2) % 3])));
  }
  return shape;
}

}  // namespace

void find_pseudonormals(const float* vertices, int64_t num_vertices, const int32_t* faces,
                        int64_t num_faces, const int32_t* order, float* normals) {
  const std::vector<int32_t> welded = weld(vertices, num_vertices);
  std::vector<FaceShape> shapes(num_faces);
  for_each(num_faces, [&](int64_t f) {
    const float* corners[3];
    for (int i = 0; i < 3; ++i) corners[i] = vertices + 3 * int64_t(faces[3 * f + i]);
    shapes[f] = shape_of(corners);
  });
  // Corners at each vertex, by vertices: faces at vertex v are at[begin[v] .. begin[v + 1]).
  std::vector<int64_t> begin(num_vertices + 1, 0);
  for (int64_t i = 0; i < 3 * num_faces; ++i) ++begin[welded[faces[i]] + 1];
  for (int64_t v = 0; v < num_vertices; ++v) begin[v + 1] += begin[v];
  std::vector<int32_t> at(3 * num_faces);
  std::vector<int64_t> next(begin.begin(), begin.end() - 1);
  for (int64_t i = 0; i < 3 * num_faces; ++i) {
    at[next[welded[faces[i]]]++] = static_cast<int32_t>(i / 3);
  }
  std::vector<float> of_vertices(3 * num_vertices);
  for_each(num_vertices, [&](int64_t v) {
    double sum[3] = {0, 0, 0};
    for (int64_t k = begin[v]; k < begin[v + 1]; ++k) {
      const int64_t f = at[k];
      // A face that has the vertex twice is listed twice, and has no area.
      for (int i = 0; i < 3; ++i) {
        if (welded[faces[3 * f + i]] != v) continue;
        for (int d = 0; d < 3; ++d) sum[d] += double(shapes[f].angles[i]) * shapes[f].normal[d];
      }
    }
    for (int d = 0; d < 3; ++d) of_vertices[3 * v + d] = static_cast<float>(sum[d]);
  });
  for_each(num_faces, [&](int64_t row) {
    const int64_t f = order[row];
    float* to = normals + 21 * row;
    std::memcpy(to, shapes[f].normal, 3 * sizeof(float));
    for (int i = 0; i < 3; ++i) {
      int64_t a = welded[faces[3 * f + i]], b = welded[faces[3 * f + (i + 1) % 3]];
      std::memcpy(to + 3 * (kCorner + i), &of_vertices[3 * a], 3 * sizeof(float));
      // Looked for at the end with fewer faces: the middle of a fan has very many.
      if (begin[a + 1] - begin[a] > begin[b + 1] - begin[b]) std::swap(a, b);
      double sum[3] = {0, 0, 0};
      for (int64_t k = begin[a]; k < begin[a + 1]; ++k) {
        const int32_t* other = faces + 3 * int64_t(at[k]);
        if (welded[other[0]] != b && welded[other[1]] != b && welded[other[2]] != b) continue;
        for (int d = 0; d < 3; ++d) sum[d] += shapes[at[k]].normal[d];
      }
      for (int d = 0; d < 3; ++d) to[3 * (kSide + i) + d] = static_cast<float>(sum[d]);
    }
  });
}

}  // namespace fields
