package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	defaultConfigFile = "decayctl.yaml"
	defaultEnvFile    = ".env"
)

// configFile reads the config file. A named file must exist, the default one need not.
func (s *settings) configFile() (map[string]entry, error) {
	name, data, err := s.readNamed("config", defaultConfigFile)
	if err != nil || data == nil {
		return nil, err
	}
	return s.parseConfigFile(clean(name), data)
}

// dotenvFile reads the node's .env file as configFile does, and returns its name too.
func (s *settings) dotenvFile() (map[string]string, string, error) {
	name, data, err := s.readNamed("env_file", defaultEnvFile)
	if err != nil || data == nil {
		return nil, "", err
	}
	name = clean(name)
	pairs, err := parseDotenv(name, string(data), s.environ)
	if err != nil {
		return nil, "", err
	}
	variables, err := foldNames(pairs, name)
	return variables, name, err
}

// readNamed reads the file that a setting names, or the default one. data is nil if the default file does not exist.
func (s *settings) readNamed(key, byDefault string) (name string, data []byte, err error) {
	name = value(s, key, parseText)
	if s.err != nil {
		return "", nil, s.err
	}
	from, named := s.origins[key]
	if !named {
		name = byDefault
		// A directory with this name is common: virtual environments of Python are named .env too.
		if info, err := os.Stat(s.path(name)); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			return name, nil, nil
		}
	}
	data, err = readFile(s.path(name))
	if errors.Is(err, errTooLarge) {
		return "", nil, errorf("%s: larger than %d MiB, so it is no such file", clean(name), largestFile>>20)
	}
	if err == nil {
		s.files = append(s.files, s.path(name))
		return name, data, nil
	}
	var cause *fs.PathError
	reason := "it cannot be read"
	if errors.As(err, &cause) {
		reason = cause.Err.Error()
	}
	if named {
		return "", nil, errorf("%s is %s: %s", from.name, quote(name), reason)
	}
	return "", nil, errorf("%s: %s; make it readable, or name another file with --%s",
		name, reason, strings.ReplaceAll(key, "_", "-"))
}

// largestFile is the largest size of a file of settings in bytes. A larger one is a mistake, such as a device or a
// database.
const largestFile = 16 << 20

var errTooLarge = errors.New("too large")

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	if err == nil && len(data) > largestFile {
		err = errTooLarge
	}
	return data, err
}

// parseConfigFile keeps values as they are written: 90 stays "90", so that the parser of a duration sees the missing
// unit. Viper would make a number of it, accept keys that differ in case only, and know no line numbers.
func (s *settings) parseConfigFile(file string, data []byte) (map[string]entry, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil && !errors.Is(decoder.Decode(&more), io.EOF) {
		return nil, errorf("%s holds more than one YAML document; keep one", file)
	}
	if err != nil {
		return nil, errorf("%s is not valid YAML: %s", file, clean(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	root := document.Content[0]
	if root.ShortTag() == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errorf("%s:%d: not a list of settings; write one per line, as in  ttl: 90d", file, root.Line)
	}
	entries := map[string]entry{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := s.addEntry(entries, file, root.Content[i], root.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (s *settings) addEntry(entries map[string]entry, file string, key, val *yaml.Node) error {
	if err := checkKey(key.Value); err != nil {
		return errorf("%s:%d: %s", file, key.Line, err)
	}
	if _, again := entries[key.Value]; again {
		return errorf("%s:%d: %s is set twice; keep one", file, key.Line, key.Value)
	}
	e := entry{text: val.Value, name: key.Value + " in " + file + ":" + strconv.Itoa(key.Line)}
	if key.Value == "policies" && val.Kind == yaml.SequenceNode {
		s.inline, s.inlineFile = val, file
		entries[key.Value] = e
		return nil
	}
	if val.Kind != yaml.ScalarNode {
		return errorf("%s:%d: %s takes one plain value, not a list, a group or an alias", file, key.Line, key.Value)
	}
	if val.ShortTag() == "!!null" {
		e.text = ""
	}
	entries[key.Value] = e
	return nil
}

func checkKey(key string) error {
	var names []string
	for _, s := range allSettings() {
		switch {
		case s.reach == everywhere:
			names = append(names, s.key)
			if s.key == key {
				return nil
			}
		case s.key == key:
			return errorf("%s cannot stand in the config file; use --%s", key, s.flag())
		}
	}
	return errorf("no such setting: %s; did you mean %s?", plainName(key), nearest(key, names))
}
