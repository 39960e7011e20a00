// Pseudonormals of a mesh: of each face, of its sides, of its corners.
#pragma once

#include <cstdint>

namespace fields {

// normals [faces][7][3] by Region (maths/triangle.h), faces in the order given. Vertices at one
// place count as one. Baerentzen and Aanaes 2005: a face has its own unit normal, a side the sum of
// those of the faces at it, a corner the sum weighted by their angles there.
void find_pseudonormals(const float* vertices, int64_t num_vertices, const int32_t* faces,
                        int64_t num_faces, const int32_t* order, float* normals);

}  // namespace fields
