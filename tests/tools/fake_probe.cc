// Stands where `loopsan run` looks for the probe; says that it was loaded.
extern "C" const char loopsan_fake_probe[] = "loaded";
