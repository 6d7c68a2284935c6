"""From an endpoint to a Predictor: a dialect over REST or gRPC."""
