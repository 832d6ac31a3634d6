// Scratch spaces that threads borrow and give back.
#pragma once
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace emkit {

// Holds as many spaces as were ever in use at once, so that allocations happen once and not in every sweep.
template <class Space>
class SpacePool {
 public:
  // A borrowed space, given back at the end of its scope.
  class Lease {
   public:
    Lease(SpacePool& pool, std::unique_ptr<Space> space) : pool_(pool), space_(std::move(space)) {}
    ~Lease() { pool_.give_back(std::move(space_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Space& operator*() { return *space_; }
    Space* operator->() { return space_.get(); }

   private:
    SpacePool& pool_;
    std::unique_ptr<Space> space_;
  };

  // A free space, or one that make() -> unique_ptr<Space> makes.
  template <class Make>
  Lease borrow(const Make& make) {
    std::unique_ptr<Space> space = take();
    return Lease(*this, space ? std::move(space) : make());
  }

 private:
  std::unique_ptr<Space> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return nullptr;
    std::unique_ptr<Space> space = std::move(free_.back());
    free_.pop_back();
    return space;
  }
  void give_back(std::unique_ptr<Space> space) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(space));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Space>> free_;
};

}  // namespace emkit
