// A place in the source as one pointer, shared with outside readers.
#pragma once

#include <bit>
#include <source_location>

#include "instrument/annotate.h"

namespace loopsan::internal {

using Site = const loopsan_source*;

// libstdc++ and libc++ keep a pointer to a static record of this layout.
static_assert(sizeof(std::source_location) == sizeof(Site));

inline Site SiteOf(std::source_location location) noexcept { return std::bit_cast<Site>(location); }

}  // namespace loopsan::internal
