"""What people look at: gradients of predictions, summaries, findings about a training."""
