"""Mode crdt: several agents stream into shared files, each its part, and what they wrote lands as one commit an author."""
