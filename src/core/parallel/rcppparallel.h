// RcppParallel, whose own headers are not free of warnings under newer C++ standards.
#pragma once
#pragma GCC system_header
#include <RcppParallel.h>
