"""Operations on one whole replica: copy, sync, convert, export, prove."""
