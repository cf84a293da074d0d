"""What `scripts/bench_runtime`, `scripts/plot_storm` and `scripts/soak` are made of; nothing here is installed."""
