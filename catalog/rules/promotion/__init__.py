"""Rules of families: order of versions, gates of promotion, rollback, life cycle, watches."""
