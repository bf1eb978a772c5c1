"""What scikit-learn sees. Rows are samples; only here is X transposed."""
