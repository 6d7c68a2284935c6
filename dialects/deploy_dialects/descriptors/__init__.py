"""One serialized FileDescriptorSet per protocol, each in a private pool, so that no other package's messages are in the way."""
