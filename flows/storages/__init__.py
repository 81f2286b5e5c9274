"""Operations on storages."""
