"""Operations on families."""
