"""Operations on hosts: drain, resume."""
