// Intent: a program that ends at once with a status of its own. Linked
// statically, loopsan has to refuse it: the loader never runs.
int main() { return 42; }
