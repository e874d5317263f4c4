package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// layer is a place with settings. A stronger layer comes first.
type layer int

const (
	byFlag layer = iota + 1
	byVariable
	byNode // the node's variables in the environment
	byFile
	byDotenv // the node's variables in its .env file
)

// entry is the value of one setting in one layer.
type entry struct {
	text string
	name string // the name of the setting in this layer, for errors
}

// origin is where the value of a setting comes from. The zero origin is the default.
type origin struct {
	layer layer
	name  string
}

// settings is all settings as text, with their origins.
type settings struct {
	viper   *viper.Viper
	origins map[string]origin
	environ map[string]string
	node    node
	dir     string
	ignored []string // variables that a container platform set
	files   []string // that were read
	err     error    // the first error of value

	inline     *yaml.Node // policies of the config file; nil is none
	inlineFile string
}

// collect reads the layers from the strongest to the weakest. A stronger layer may name the file of a weaker one, such
// as the config file.
func collect(src Source) (*settings, error) {
	s := &settings{
		viper:   viper.New(),
		origins: map[string]origin{},
		environ: environMap(src.Environ),
		dir:     src.Dir,
	}
	for _, known := range allSettings() {
		s.viper.SetDefault(known.key, known.initial)
		flag := src.Flags.Lookup(known.flag())
		if flag == nil {
			continue
		}
		if err := s.viper.BindPFlag(known.key, flag); err != nil {
			return nil, err
		}
		// A comparison with the default would lose a flag that is set to the default.
		if flag.Changed {
			s.origins[known.key] = origin{byFlag, "--" + known.flag()}
		}
	}
	variables, err := s.ownVariables(src.Environ)
	if err != nil {
		return nil, err
	}
	s.fill(byVariable, variables)

	if s.node.environ, err = foldNames(src.Environ, "the environment"); err != nil {
		return nil, err
	}
	s.fill(byNode, nodeEntries(s.node.environ, ""))
	if s.environ["NO_COLOR"] != "" {
		s.fill(byNode, map[string]entry{"no_color": {"true", "NO_COLOR"}})
	}

	file, err := s.configFile()
	if err != nil {
		return nil, err
	}
	s.fill(byFile, file)

	if s.node.dotenv, s.node.dotenvName, err = s.dotenvFile(); err != nil {
		return nil, err
	}
	s.fill(byDotenv, nodeEntries(s.node.dotenv, s.node.dotenvName))
	return s, nil
}

// fill adds the settings of a layer that no stronger layer has. Viper does not read the environment here: it would read
// that of the process, skip empty variables, and not tell the origin of a value.
func (s *settings) fill(from layer, entries map[string]entry) {
	for key, e := range entries {
		if _, taken := s.origins[key]; taken {
			continue
		}
		s.viper.SetDefault(key, e.text)
		s.origins[key] = origin{from, e.name}
	}
}

// value parses one setting. Without a value and a default, the result is the zero value.
func value[T any](s *settings, key string, parse func(string) (T, error)) T {
	var none T
	text, from := s.viper.GetString(key), s.origins[key]
	if from.layer == 0 && text == "" {
		return none
	}
	// An empty variable is a mistake: it must not mean "everything" or "the default".
	if strings.TrimSpace(text) == "" {
		s.fail("%s is empty; give it a value or leave it out", from.name)
		return none
	}
	result, err := parse(text)
	if secret := (secretError{}); errors.As(err, &secret) {
		s.fail("%s: %s", from.name, err)
		return none
	}
	if err != nil {
		s.fail("%s is %s: %s", from.name, quote(text), err)
		return none
	}
	return result
}

func (s *settings) fail(format string, args ...any) {
	if s.err == nil {
		s.err = errorf(format, args...)
	}
}

// path is a file's name, relative to the working directory.
func (s *settings) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(s.dir, name)
}

func environMap(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, line := range environ {
		name, text, _ := strings.Cut(line, "=")
		variables[name] = text
	}
	return variables
}

// serviceLink matches variables that Kubernetes and Docker set in a container for a service whose name begins with
// decayctl. The operator has not set them, so they are not misspelt settings.
var serviceLink = regexp.MustCompile(`^DECAYCTL_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// containerLink matches two more variables that Docker sets for a linked container: the name of the link, which begins
// with a slash, and the container's own variables.
var containerLink = regexp.MustCompile(`^(DECAYCTL_(?:[A-Z0-9_]+?_)?)(?:NAME|ENV_.+)$`)

// linked tells whether a container platform has set a variable.
func (s *settings) linked(name string) bool {
	link := containerLink.FindStringSubmatch(name)
	return serviceLink.MatchString(name) || link != nil && strings.HasPrefix(s.environ[link[1]+"NAME"], "/")
}

func (s *settings) ownVariables(environ []string) (map[string]entry, error) {
	known := map[string]setting{}
	var names []string
	for _, each := range allSettings() {
		known[each.variable()] = each
		if each.reach != flagOnly {
			names = append(names, each.variable())
		}
	}
	entries := map[string]entry{}
	for _, line := range environ {
		name, text, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, variablePrefix) {
			continue
		}
		of, ok := known[name]
		switch {
		case name == variablePrefix+"ACTIVE_HELP", name == variablePrefix+"COMPLETION_DESCRIPTIONS":
			continue // for cobra: its completion scripts set the first, and a user may set both
		case !ok && s.linked(name):
			s.ignored = append(s.ignored, name)
			continue
		case !ok:
			return nil, errorf("%s is set, but there is no such setting; did you mean %s?", plainName(name), nearest(name, names))
		case of.reach == flagOnly:
			return nil, errorf("%s is set, but this can only be said with the flag --%s; unset it", name, of.flag())
		}
		entries[of.key] = entry{text, name}
	}
	return entries, nil
}

// nearest is the known name with the smallest distance.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int {
		return cmp.Compare(distance(name, a), distance(name, b))
	})
}

// distance is the Levenshtein distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func errorf(format string, args ...any) *Error {
	return &Error{fmt.Sprintf(format, args...)}
}
