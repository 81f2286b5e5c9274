"""Operations on volumes and cached images."""
