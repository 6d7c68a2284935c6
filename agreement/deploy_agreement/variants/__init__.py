"""What is asked of quantised and half-precision variants: their own degradation, and what they answered when published."""
