// Intent: a function that is not async is refused where it is wrapped.
#include "runtime/async_to_sync.h"

void Load(int id);

int main() { (void)loopsan::AsyncToSync(&Load); }
