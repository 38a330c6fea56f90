package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/orderflow/domain"
)

// check renders each template with the samples. It returns the first fault of each
// file.
func (s *Set) check() (faults []error) {
	for _, language := range s.Languages() {
		types := s.languages[language]
		for _, kind := range slices.Sorted(maps.Keys(types)) {
			t := types[kind]
			faults = append(faults, t.checkFile(t.subject, kind, maxSubject)...)
			faults = append(faults, t.checkFile(t.text, kind, maxText)...)
			faults = append(faults, t.checkFile(t.html, kind, maxText)...)
		}
	}
	return faults
}

func (t *texts) checkFile(made executor, kind domain.EventType, limit int) []error {
	if made == nil {
		return nil
	}
	for _, sample := range samples {
		data := newData(eventOf(kind, sample.order), t.tag, sample.test)
		text, err := execute(made, data, limit)
		if err != nil {
			return []error{fmt.Errorf("%w (with %s)", err, sample.name)}
		}
		if made == t.subject {
			if line := strings.IndexAny(text, "\r\n"); line >= 0 {
				return []error{fmt.Errorf("%s:2: the subject has more than one line, such as %.40q",
					made.Name(), strings.TrimSpace(text[line:]))}
			}
		}
		if strings.TrimSpace(text) == "" {
			return []error{fmt.Errorf("%s:1: the result is empty (with %s)", made.Name(), sample.name)}
		}
	}
	return nil
}
