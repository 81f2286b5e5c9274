"""Operations on replicas: move, sync, verify, leftovers."""
