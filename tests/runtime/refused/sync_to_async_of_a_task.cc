// Intent: a task is async already.
#include "runtime/sync_to_async.h"

loopsan::Task<int> Load(int id);

int main() { (void)loopsan::SyncToAsync(Load(1)); }
