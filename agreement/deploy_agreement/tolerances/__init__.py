"""How far apart two honest answers may lie: measured noise, and the tolerance of every element that follows from it."""
