-- What a fact store has on SQLite only: the full-text index, and triggers that keep facts append-only.

CREATE VIRTUAL TABLE facts_fts USING fts5 (
    fact_id UNINDEXED, entity, relation, value_v,
    tokenize = 'unicode61 remove_diacritics 1'
);

CREATE TRIGGER facts_fts_ai AFTER INSERT ON facts BEGIN
    INSERT INTO facts_fts (fact_id, entity, relation, value_v)
    VALUES (new.id, new.entity, new.relation, new.value_v);
END;
CREATE TRIGGER facts_fts_au AFTER UPDATE OF entity, relation, value_v ON facts BEGIN
    DELETE FROM facts_fts WHERE fact_id = old.id;
    INSERT INTO facts_fts (fact_id, entity, relation, value_v)
    VALUES (new.id, new.entity, new.relation, new.value_v);
END;
CREATE TRIGGER facts_fts_ad AFTER DELETE ON facts BEGIN
    DELETE FROM facts_fts WHERE fact_id = old.id;
END;
CREATE TRIGGER facts_no_update BEFORE UPDATE ON facts BEGIN
    SELECT RAISE(FAIL, 'facts is append-only: UPDATE is not allowed');
END;
CREATE TRIGGER facts_no_delete BEFORE DELETE ON facts BEGIN
    SELECT RAISE(FAIL, 'facts is append-only: DELETE is not allowed');
END;
