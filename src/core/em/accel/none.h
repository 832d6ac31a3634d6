// Plain EM.
#pragma once
#include "../accelerator.h"

namespace emkit {

class NoAcceleration final : public Accelerator {
 public:
  Step advance(EmModel& model, const StepContext&) override { return model.m_step() ? Step::kPlain : Step::kFailed; }
  bool retreat(EmModel&) override { return false; }
  void restart() override {}
};

}  // namespace emkit
