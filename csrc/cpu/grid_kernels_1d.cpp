#include "cpu/grid_kernels_impl.h"

FIELDS_GRID_KERNELS(1)
