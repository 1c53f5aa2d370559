// A pool of threads that takes tasks from one counter: whichever thread is free takes the next.
#pragma once

#include <functional>

namespace splatworld {

// Runs task(i) for i in [0, count). Results must not depend on who runs what.
void parallel_for(long count, const std::function<void(long)>& task);

}  // namespace splatworld
