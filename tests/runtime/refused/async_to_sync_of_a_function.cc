// Intent: a function that is not async is refused.
#include "runtime/async_to_sync.h"

int Load(int id);

int main() { return loopsan::AsyncToSync(&Load)(1); }
