/**
 * How wide a text is drawn, by a table instead of a canvas: server and page place the same chart alike.
 * The widths are those of Helvetica, which Arial, Liberation Sans and Nimbus Sans share.
 */

/** Thousandths of the font size, and the characters that are so wide. */
const WIDTHS: readonly (readonly [number, string])[] = [
  [191, "'"],
  [222, 'ijl'],
  [278, ' !,./:;[]\\ftI'],
  [333, '()-`r"{}|'],
  [389, '*'],
  [500, 'cksvxyzJ'],
  [556, '0123456789abdeghnopqu#$_?L'],
  [584, '+<=>~^'],
  [611, 'FTZ'],
  [667, 'ABEKPSVXY&'],
  [722, 'CDHNRUw'],
  [778, 'GOQ'],
  [833, 'mM'],
  [889, '%'],
  [944, 'W'],
  [1000, '→…'],
  [1015, '@'],
]

const widthOfCharacter = new Map(WIDTHS.flatMap(([width, characters]) => [...characters].map((c) => [c, width])))

/** What stands in no table is drawn by some other font; scripts of square characters take the most. */
const widthOfStranger = (character: string): number => (character > '\u2e7f' ? 1000 : 640)

/** Pixels. Bold letters are a little wider, by less than a tenth. */
export function widthOf(text: string, size: number, bold = false): number {
  let thousandths = 0
  for (const character of text) thousandths += widthOfCharacter.get(character) ?? widthOfStranger(character)
  return (thousandths / 1000) * size * (bold ? 1.08 : 1)
}

/** The text, or its beginning and an ellipsis where it has more than `most` characters. */
export function clipped(text: string, most: number): string {
  const characters = [...text]
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`
}
